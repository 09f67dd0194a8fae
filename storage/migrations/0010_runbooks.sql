-- Runbooks distilled from what people wrote in the threads of an alert, and what people say of them.

-- A service without what tells its copies apart: port, number or pod hash. They share a runbook.
create function runbook_service(service text) returns text language sql immutable parallel safe
return regexp_replace(coalesce(service, ''), '(-[a-f0-9]{6,10}-[a-z0-9]{5}|-[0-9]{1,3})?(:[0-9]{2,5})?$', '');

create table runbooks (
    runbook_id bigint generated always as identity primary key,
    team_id    text not null,
    service    text not null default '',   -- empty where the alert names none
    alert      text not null,
    audience   text not null default '',   -- empty: of public channels only; else the one channel that it also draws on
    version    integer not null,
    digest     text not null,              -- of the messages that it was distilled from
    channels   text[] not null,            -- where these stand
    messages   integer not null,           -- how many they are
    model      text not null,
    created_at timestamptz not null default now(),
    unique (team_id, service, alert, audience, version)
);

create table runbook_lines (
    runbook_id bigint not null references runbooks on delete cascade,
    position   integer not null,
    section    text not null check (section in ('overview', 'root_cause', 'step')),
    text       text not null,
    command    text,                       -- verbatim out of the source
    doubted    boolean not null default false,  -- it stood in a version that did not work
    team_id    text not null,
    channel_id text not null,
    ts         text not null,              -- the message that the line comes from
    primary key (runbook_id, position),
    foreign key (team_id, channel_id, ts) references messages on delete cascade
);
create index runbook_lines_source on runbook_lines (team_id, channel_id, ts);

create table runbook_votes (
    runbook_id bigint not null references runbooks on delete cascade,
    user_id    text not null,
    worked     boolean not null,
    at         timestamptz not null default now(),
    primary key (runbook_id, user_id)
);

-- A line does not outlive the words that it comes from.
create function forget_runbook_lines() returns trigger language plpgsql as $$
begin
    delete from runbook_lines
    where team_id = new.team_id and channel_id = new.channel_id and ts = new.ts;
    return null;
end $$;
create trigger messages_forget_runbook_lines after update of text, deleted_at on messages
    for each row when (old.text is distinct from new.text or old.deleted_at is distinct from new.deleted_at)
    execute function forget_runbook_lines();

-- Buttons and other Slack blocks below a post's text.
alter table posts add column blocks jsonb;
