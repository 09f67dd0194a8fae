-- Who was shown what, whose words must go, and what may not come back.

-- The messages that a turn was shown, so that what rests on a message is found when the message goes.
create table turn_sources (
    team_id    text not null,
    channel_id text not null,
    ts         text not null,
    turn_id    uuid not null,
    primary key (team_id, channel_id, ts, turn_id)
);
create index turn_sources_turn on turn_sources (turn_id);

-- For turns that were there before: what the results of their tools link to, and what stood before them in their thread.
insert into turn_sources (team_id, channel_id, ts, turn_id)
select t.team_id, found[1], found[2] || '.' || found[3], t.turn_id
from conversation_messages c join turns t using (turn_id),
     regexp_matches(c.message::text, '/archives/([A-Z0-9]+)/p(\d+)(\d{6})', 'g') as found
union
select t.team_id, t.channel_id, m.ts, t.turn_id
from turns t join messages m using (team_id, channel_id)
where t.thread_ts in (m.ts, m.thread_ts) and m.ts <> t.message_ts and m.ts::numeric < t.message_ts::numeric;

-- Messages whose words must go from all that rests on them.
create table purges (
    team_id    text not null,
    channel_id text not null,
    ts         text not null,
    reason     text not null check (reason in ('deleted', 'edited')),
    asked_at   timestamptz not null default now(),
    begun_at   timestamptz,              -- turns that began later cannot have seen the words
    primary key (team_id, channel_id, ts)
);

-- A turn that still runs must lose what rests on such a message when it is over; when one last lost it.
alter table turns add column tainted boolean not null default false;
alter table turns add column purged_at timestamptz;
create index turns_tainted on turns (turn_id) where tainted;
create index turns_open on turns (started_at) where status in ('queued', 'running');
create index turns_requester on turns (team_id, requester_id);

-- People and channels that were forgotten, by the SHA-256 of TEAM:ID, so that this table remembers nobody.
create table forgotten (
    digest       bytea primary key,
    everything   boolean not null,       -- also what is said from now on; else only what was said before
    forgotten_at timestamptz not null default now()
);

-- The numbers of leases never come twice, also when a thread's row is deleted and made anew.
create sequence thread_epochs;
select setval('thread_epochs', coalesce(max(epoch), 0) + 1, false) from thread_leases;
