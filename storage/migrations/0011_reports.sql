-- Weekly reports, the picture that goes with a report, and budgets of model calls.

-- One row a channel and due moment: whoever inserts it makes that report, nobody else.
create table report_runs (
    team_id    text not null,
    channel_id text not null,
    due_at     timestamptz not null,
    claimed_at timestamptz not null default now(),
    posted_at  timestamptz,
    primary key (team_id, channel_id, due_at)
);

-- A picture is uploaded once: Slack's id of the file is noted before the file is shared.
create table report_pictures (
    turn_id   uuid primary key references turns on delete cascade,
    state     text not null default 'uploading' check (state in ('uploading', 'shared', 'refused')),
    file_id   text not null,
    error     text,
    shared_at timestamptz,
    at        timestamptz not null default now()
);

-- What the model call that a turn is making may cost; it counts until the turn is over or makes its next call.
create table budget_reservations (
    turn_id    uuid primary key,
    team_id    text not null,
    channel_id text not null,
    tokens     integer not null,
    cost       numeric(14, 6) not null,  -- US dollars
    at         timestamptz not null default now()
);
create index budget_reservations_channel on budget_reservations (team_id, channel_id);

create index model_usage_channel on model_usage (team_id, channel_id, at);
create index posts_ts on posts (channel_id, ts) where ts is not null;
