"""Channel monitors: a model judges each message of a channel, and a team's own program says what follows."""
