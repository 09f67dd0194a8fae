-- What people say of answers with the buttons below them.
create table answer_votes (
    turn_id uuid not null references turns on delete cascade,
    team_id text not null,
    user_id text not null,
    good    boolean not null,
    at      timestamptz not null default now(),
    primary key (turn_id, user_id)
);
