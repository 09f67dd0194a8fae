-- How far the reading of each source of documentation is. The documents themselves are in documents.
create table doc_sources (
    name        text primary key,
    kind        text not null,
    state       text not null check (state in ('running', 'done', 'failed')),
    done        integer not null default 0,
    total       integer not null default 0,
    failed      integer not null default 0,
    error       text,
    problems    text[] not null default '{}',
    revision    text,
    holder      uuid not null,                       -- which reading holds it; its word counts while it is this one
    seen_at     timestamptz not null default now(),  -- a holder that was not seen for a minute has died
    started_at  timestamptz not null default now(),
    finished_at timestamptz
);
