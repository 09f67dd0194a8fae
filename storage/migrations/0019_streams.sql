-- The message in which a turn's answer grows while people read. It is a row before Slack is asked for it, so that
-- after a crash the message is found again instead of standing there for ever beside the answer.
create table streams (
    stream_id  bigint generated always as identity primary key,
    turn_id    uuid not null references turns on delete cascade,
    channel_id text not null,
    thread_ts  text not null,
    ts         text,                       -- null until Slack has said so
    is_native  boolean not null,           -- whether Slack streams it; else it is a post that is edited
    is_open    boolean not null default true,
    created_at timestamptz not null default now()
);
create unique index streams_open on streams (turn_id) where is_open;
create index streams_thread on streams (channel_id, thread_ts);
