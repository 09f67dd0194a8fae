-- A turn can be stopped by people, or be taken in by the turn that its message came in the middle of.
alter table turns drop constraint turns_status_check;
alter table turns add constraint turns_status_check
    check (status in ('queued', 'running', 'waiting', 'answered', 'failed', 'stopped', 'merged'));

-- A turn can also be a follow-up without a mention, an answer that is tried again, or one that is given in private.
alter table turns drop constraint turns_source_check;
alter table turns add constraint turns_source_check
    check (source in ('mention', 'dm', 'command', 'chat', 'step', 'followup', 'retry', 'private'));
