-- Approvals: what a tool of effect `change` may do is decided by a person first, and kept here.

alter table turns drop constraint turns_status_check;
alter table turns add constraint turns_status_check
    check (status in ('queued', 'running', 'waiting', 'answered', 'failed'));
drop index turns_open;
create index turns_open on turns (started_at) where status in ('queued', 'running', 'waiting');

-- One row a request. An edited request is superseded by the next revision of the same call.
create table approvals (
    approval_id     text primary key,
    turn_id         uuid not null references turns on delete cascade,
    tool_call_id    text not null,
    revision        integer not null,
    team_id         text not null,
    channel_id      text not null,
    ts              text not null,           -- the message that asked for it: its words go with that message
    thread_ts       text,
    tool            text not null,
    arguments       json not null,           -- not jsonb, which writes numbers anew: the digest is of these
    bound           json not null,
    digest          text not null,           -- SHA-256 of tool, arguments, bound and thread
    call_digest     text not null,           -- SHA-256 of the arguments of the model's own call
    summary         text not null,
    attachment_name text,
    attachment      text,
    requester_id    text not null,
    approvers       text[] not null,
    self_approval   boolean not null,
    edited_by       text,
    part            integer not null,        -- of the turn's posts: the one with the buttons
    status          text not null default 'pending'
        check (status in ('pending', 'approved', 'rejected', 'expired', 'superseded', 'void')),
    decided_by      text,
    reason          text,
    edit            json,                    -- of a superseded request: the arguments to ask for instead
    expires_at      timestamptz not null,
    created_at      timestamptz not null default now(),
    decided_at      timestamptz,
    used_at         timestamptz,             -- the decision reached its turn
    unique (turn_id, tool_call_id, revision)
);
create index approvals_pending on approvals (expires_at) where status = 'pending';
create index approvals_message on approvals (team_id, channel_id, ts);

-- A turn may share several files: the picture of its report, and what goes with its requests for approval.
alter table report_pictures drop constraint report_pictures_pkey;
alter table report_pictures add column part text not null default '';
alter table report_pictures add primary key (turn_id, part);
