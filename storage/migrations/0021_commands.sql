-- A command, such as help, is answered beside its thread: it has neither the thread's lock nor its lease or history.
alter table turns add column aside boolean not null default false;

-- Where people reset a thread: nothing of what was said up to this timestamp reaches the model any more.
alter table conversations add column reset_ts text not null default '0';
