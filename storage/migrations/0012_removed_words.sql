-- What went with words that were deleted or edited, and in what order reactions came.

-- Words that a message lost, once for each, until the purge takes them out of lexeme_counts: a word that stands in no
-- message any more must not stand there until words are counted anew.
create table lexeme_removals (
    lexeme text collate "C" not null
);

create function note_changed_words() returns trigger language plpgsql as $$
begin
    insert into lexeme_removals
    select word from (select unnest(tsvector_to_array(old.search)) except select unnest(tsvector_to_array(new.search)))
        as lost (word)
    where length(word) <= 200;
    return null;
end $$;
create trigger messages_lost_words after update of text on messages for each row
    when (old.searchable and old.search is distinct from new.search) execute function note_changed_words();

create function note_removed_words() returns trigger language plpgsql as $$
begin
    insert into lexeme_removals
    select word from removed r cross join unnest(tsvector_to_array(r.search)) as word
    where r.searchable and length(word) <= 200;
    return null;
end $$;
create trigger messages_removed_words after delete on messages
    referencing old table as removed for each statement execute function note_removed_words();

-- The newest that is known of each reaction: Slack delivers in no order, so what was taken back leaves a mark.
alter table early_reactions rename to reaction_events;
alter table reaction_events add column event_ts text;
alter table reaction_events add column applied boolean not null default false;  -- its message has it
create index reaction_events_early on reaction_events (team_id, ts) where not applied;
