-- Questions of people in help channels: what the documentation knew of them, and what Ratchet did by itself.

create table help_questions (
    team_id     text not null,
    channel_id  text not null,
    ts          text not null,
    confidence  double precision,        -- that the documentation answers it (0 to 1); null where nobody looked
    seen_at     timestamptz not null default now(),
    answered_at timestamptz,             -- an answer out of the documentation was posted
    nudged_at   timestamptz,             -- its channel's owner was asked for help
    proposed_at timestamptz,             -- an update of the documentation was proposed
    primary key (team_id, channel_id, ts),
    foreign key (team_id, channel_id, ts) references messages on delete cascade
);

-- Whether an answer out of the documentation helped: one vote a person, the last one stands.
create table help_votes (
    team_id    text not null,
    channel_id text not null,
    ts         text not null,            -- of the question
    user_id    text not null,
    helpful    boolean not null,
    at         timestamptz not null default now(),
    primary key (team_id, channel_id, ts, user_id),
    foreign key (team_id, channel_id, ts) references help_questions on delete cascade
);
