-- What follows by itself from a new message: one row a step, so that each is done once.

create table message_steps (
    team_id    text not null,
    channel_id text not null,
    ts         text not null,
    step       text not null,
    state      text not null check (state in ('done', 'failed')),
    error      text,
    attempts   integer not null default 1,
    at         timestamptz not null default now(),
    primary key (team_id, channel_id, ts, step)
);

-- What a step posts belongs to a turn that nobody asked for.
alter table turns drop constraint turns_source_check;
alter table turns add constraint turns_source_check
    check (source in ('mention', 'dm', 'command', 'chat', 'step'));
