-- What messages report about alerts: several a message, and what an edit added to what it said before.

create table alerts (
    team_id     text not null,
    channel_id  text not null,
    ts          text not null,
    fingerprint text not null,             -- of source, service and alert; the same when firing and when resolved
    action      text not null check (action in ('open_incident', 'close_incident')),
    alert       text not null,
    service     text,
    priority    text check (priority in ('HIGH', 'LOW')),
    duration    interval,                  -- as the message states it
    parser      text not null,
    confidence  real not null,
    at          timestamptz not null,      -- when it was posted; for what an edit says, when it was edited
    primary key (team_id, channel_id, ts, fingerprint, action),
    foreign key (team_id, channel_id, ts) references messages on delete cascade
);
create index alerts_fingerprint on alerts (team_id, channel_id, fingerprint, at);
create index alerts_at on alerts (team_id, channel_id, at);

insert into alerts (team_id, channel_id, ts, fingerprint, action, alert, service, parser, confidence, at)
select team_id, channel_id, ts,
       substr(encode(sha256(convert_to(lower(author) || chr(31) || lower(coalesce(service, '')) || chr(31)
              || lower(alert), 'UTF8')), 'hex'), 1, 16),
       alert_action, alert, service, 'first', 0.5,
       case when edited_ts is null then posted_at else to_timestamp(edited_ts::double precision) end
from messages where alert is not null and alert_action <> 'none' and deleted_at is null;

drop index messages_alert;
alter table messages drop column alert, drop column service;
create index messages_alert_action on messages (team_id, channel_id, posted_at) where alert_action <> 'none';
