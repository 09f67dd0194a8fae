-- A step that failed for good: it is not done, and it is not tried again.

alter table message_steps drop constraint message_steps_state_check;
alter table message_steps add constraint message_steps_state_check check (state in ('done', 'failed', 'given_up'));
