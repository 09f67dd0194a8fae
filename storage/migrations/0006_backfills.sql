-- How far the reading of the past has come, so that it goes on where it stopped.

create table backfills (
    team_id     text not null,
    channel_id  text not null,
    kind        text not null check (kind in ('onboard', 'gap', 'thread')),
    thread_ts   text not null default '',  -- the thread that is read; empty where the channel itself is
    status      text not null default 'pending' check (status in ('pending', 'finished', 'failed')),
    wanted      integer,                   -- onboard: how many messages at most
    since       text,                      -- the last message seen before an outage: newer ones were missed
    reached     text,                      -- a channel is read down to here; of a thread, what is newer is read
    cursor      text,                      -- a thread's next page
    read        integer not null default 0,
    stored      integer not null default 0,
    failures    integer not null default 0,  -- since the last page that was read
    error       text,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    finished_at timestamptz,
    primary key (team_id, channel_id, kind, thread_ts),
    foreign key (team_id, channel_id) references channels on delete cascade
);
create index backfills_pending on backfills (team_id, channel_id) where status = 'pending';

-- Channels that were read before this table was there.
insert into backfills (team_id, channel_id, kind, status, wanted, finished_at)
select team_id, channel_id, 'onboard', 'finished', 1000, now() from channels where onboarding_status = 'finished';

-- Reactions that came before their message.
create table early_reactions (
    team_id    text not null,
    channel_id text not null,
    ts         text not null,
    user_id    text not null,
    name       text not null,
    added      boolean not null,
    arrived_at timestamptz not null default now(),
    primary key (team_id, channel_id, ts, user_id, name)
);
