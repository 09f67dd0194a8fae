-- What Ratchet does with it: turns, conversations, posts, effects, model calls, audit.

create table turns (
    turn_id      uuid primary key,
    team_id      text not null,
    channel_id   text not null,
    thread_ts    text,                     -- null until a slash command's question stands in the channel
    message_ts   text,
    requester_id text not null,
    source       text not null check (source in ('mention', 'dm', 'command', 'chat')),
    question     text not null,
    status       text not null default 'queued' check (status in ('queued', 'running', 'answered', 'failed')),
    answer       text,
    error        text,
    attempts     integer not null default 0,
    created_at   timestamptz not null default now(),
    started_at   timestamptz,
    ended_at     timestamptz,
    unique (team_id, channel_id, message_ts)
);
create index turns_thread on turns (team_id, channel_id, thread_ts, created_at);

-- The fence: who took the thread last may write, nobody before it.
create table thread_leases (
    thread_key text primary key,
    epoch      bigint not null
);

create table conversations (
    thread_key      text primary key,
    summary         text not null default '',
    summarised_upto bigint not null default 0,     -- messages up to this sequence live in the summary only
    seen_upto_ts    text not null default '0',     -- Slack messages of the thread read into the conversation
    created_at      timestamptz not null default now()
);

create table conversation_messages (
    thread_key text not null references conversations on delete cascade,
    seq        bigint not null,
    turn_id    uuid not null,
    message    jsonb not null,
    created_at timestamptz not null default now(),
    primary key (thread_key, seq)
);
create index conversation_messages_turn on conversation_messages (turn_id);

create table posts (
    post_id    text primary key,           -- travels in the Slack message's metadata
    turn_id    uuid not null references turns on delete cascade,
    part       integer not null,
    channel_id text not null,
    thread_ts  text,
    text       text not null,
    module     text not null,
    model      text not null default '',
    state      text not null default 'pending' check (state in ('pending', 'sending', 'posted', 'rejected')),
    ts         text,
    error      text,
    created_at timestamptz not null default now(),
    posted_at  timestamptz
);
create index posts_turn on posts (turn_id, part);
create index posts_unposted on posts (created_at) where state in ('pending', 'sending');

create table effects (
    turn_id      uuid not null,
    tool_call_id text not null,
    tool         text not null,
    state        text not null default 'intent' check (state in ('intent', 'done', 'unknown')),
    result       text,
    created_at   timestamptz not null default now(),
    settled_at   timestamptz,
    primary key (turn_id, tool_call_id)
);

create table model_usage (
    usage_id      bigint generated always as identity primary key,
    at            timestamptz not null default now(),
    turn_id       uuid,
    team_id       text not null default '',
    channel_id    text not null default '',
    requester_id  text not null default '',
    module        text not null,
    model         text not null,
    input_chars   integer not null,
    output_chars  integer not null,
    prompt_tokens integer not null,
    output_tokens integer not null,
    cost          numeric(14, 6) not null,  -- US dollars, by configs/ratchet.yaml's prices
    latency_ms    integer not null,
    error         text
);
create index model_usage_at on model_usage (at);

create table audit_logs (
    audit_id    bigint generated always as identity primary key,
    at          timestamptz not null default now(),
    incident_id bigint,
    who         text not null,
    action      text not null,
    details     jsonb not null default '{}'
);
create index audit_logs_at on audit_logs (at);
