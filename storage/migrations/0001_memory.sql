-- What Slack told us: events, channels, people and messages.

create table inbox_events (
    event_id    text primary key,        -- Slack's event id; the trigger id of a command or click
    team_id     text not null,
    kind        text not null,
    subject     text,                    -- the message it tells of, as channel:ts
    payload     jsonb not null,          -- empty once that message was deleted
    received_at timestamptz not null default now()
);
create index inbox_events_received_at on inbox_events (received_at);
create index inbox_events_subject on inbox_events (team_id, subject) where subject is not null;

create table channels (
    team_id           text not null,
    channel_id        text not null,
    name              text not null default '',
    kind              text not null check (kind in ('public', 'private', 'im', 'mpim')),
    user_id           text,                -- the other side of an im
    topic             text not null default '',
    onboarding_status text not null default 'started' check (onboarding_status in ('started', 'finished', 'failed')),
    attrs             jsonb not null default '{}',
    created_at        timestamptz not null default now(),
    primary key (team_id, channel_id)
);

create table users (
    team_id      text not null,
    user_id      text not null,
    name         text not null,
    is_bot       boolean not null default false,
    is_guest     boolean not null default false,
    is_stranger  boolean not null default false,  -- of another workspace (Slack Connect)
    refreshed_at timestamptz not null default now(),
    primary key (team_id, user_id)
);

-- Who may read which non-public channel. A row counts only while it is fresh: see storage/access.py.
create table memberships (
    team_id    text not null,
    user_id    text not null,
    channel_id text not null,
    seen_at    timestamptz not null default now(),
    primary key (team_id, user_id, channel_id)
);

create table messages (
    team_id       text not null,
    channel_id    text not null,
    ts            text not null,
    thread_ts     text,                    -- null on a top-level message
    user_id       text,
    bot_id        text,
    author        text not null default '',
    is_bot        boolean not null default false,
    searchable    boolean not null default true,   -- false: written by Ratchet, or asked of it
    text          text not null,           -- what a person sees: text, blocks and attachments
    permalink     text not null default '',
    alert         text,                    -- the alert that this message reports, if it does
    service       text,
    alert_action  text not null default 'none' check (alert_action in ('none', 'open_incident', 'close_incident')),
    attrs         jsonb not null default '{}',
    posted_at     timestamptz not null generated always as (to_timestamp(ts::double precision)) stored,
    edited_ts     text,
    deleted_at    timestamptz,
    search        tsvector not null generated always as (
        to_tsvector('english', left(text, 60000) || ' ' ||
                    regexp_replace(left(text, 60000), '([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])|[_/.:-]+',
                                   '\1\3 \2\4', 'g'))) stored,
    primary key (team_id, channel_id, ts)
);
create index messages_thread on messages (team_id, channel_id, thread_ts, ts);
create index messages_posted_at on messages (team_id, channel_id, posted_at);
create index messages_search on messages using gin (search);
create index messages_alert on messages (team_id, channel_id, alert, posted_at) where alert is not null;
