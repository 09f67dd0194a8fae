-- How messages are found: by their words, and by the vectors of their meaning.

create extension if not exists vector;

-- The words of a text: stems of all words and of the parts of composed ones (CamelCase, snake_case, paths), and
-- identifiers as they stand, such as hosts, paths, versions and error codes. These count at three widths:
-- db-3.eu.internal:5432 is found as db-3.eu.internal and as db-3 too. The server's own parser would read each one
-- differently by the punctuation around it. What stands beyond these lengths is not looked at: a tsvector has a
-- limit, and a message that exceeds it could not be stored at all.
create function search_vector(message text) returns tsvector language plpgsql immutable parallel safe as $$
declare
    line  text := regexp_replace(
        left(message, 40000),
        '[\u0001-\u002c\u003b-\u003f\u005b-\u005e\u0060\u007b-\u00bf\u2000-\u206f\u3000-\u303f\ufeff]+', ' ', 'g');
    words text := translate(line, '-_./:@', '      ');
    parts text := regexp_replace(words, '([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])', '\1\3 \2\4', 'g');
    found tsvector := to_tsvector('english', parts);
begin
    if parts <> words then
        found := found || strip(ts_delete(to_tsvector('english', words), tsvector_to_array(found)));
    end if;
    if line <> words then
        line := left(line, 20000);
        found := found || array_to_tsvector(array(
            select distinct lower(identifier)
            from unnest(string_to_array(
                     concat_ws(' ', line, translate(line, '/:@', '   '), translate(line, './:@', '    ')), ' ')) as token,
                 btrim(token, '-_./:@') as identifier
            where identifier ~ '[-_./:@]' and length(identifier) <= 200));
    end if;
    return found;
end $$;

alter table messages drop column search;
alter table messages add column search tsvector not null generated always as (search_vector(text)) stored;
create index messages_search on messages using gin (search);
create index messages_newest on messages (team_id, posted_at);

-- In how many of the newest messages a word stands, so that rare words weigh more; without those that are rare anyway.
create table lexeme_counts (
    lexeme   text collate "C" primary key,
    messages integer not null
);
create table lexeme_totals (
    only_row     boolean primary key default true check (only_row),
    messages     integer not null,           -- that were counted
    stored       bigint not null,            -- that there were then
    mean_length  real not null,              -- distinct lexemes of a message
    refreshed_at timestamptz not null default now()
);

-- A space holds the vectors of one model; those of different spaces are never compared. Each has an HNSW index of
-- its own, message_embeddings_space_ID, which storage/vectors.py creates with it.
create table embedding_spaces (
    space_id   integer generated always as identity primary key,
    name       text not null unique,
    dimensions integer not null check (dimensions between 1 and 4000),
    created_at timestamptz not null default now()
);

-- Half precision: half the size, and the order of neighbours stays what it is.
create table message_embeddings (
    team_id    text not null,
    channel_id text not null,
    ts         text not null,
    space_id   integer not null references embedding_spaces on delete cascade,
    embedding  halfvec not null,
    primary key (team_id, channel_id, ts, space_id)  -- the message first, for its deletion
);

-- Messages that wait for their vector in the current space. Whoever embeds takes them until due_at.
create table embedding_queue (
    team_id    text not null,
    channel_id text not null,
    ts         text not null,
    attempts   integer not null default 0,
    due_at     timestamptz not null default now(),
    primary key (team_id, channel_id, ts)
);
create index embedding_queue_order on embedding_queue (attempts, ts desc);

-- Triggers, so that no way to change a text can forget its vector. They also take the place of foreign keys: whose
-- check is planned once a session, for a table that may be empty then, and made each insert read all messages.
create function embed_new_messages() returns trigger language plpgsql as $$
begin
    insert into embedding_queue (team_id, channel_id, ts)
    select team_id, channel_id, ts from added where searchable and deleted_at is null and text ~ '\S';
    return null;
end $$;
create trigger messages_to_embed after insert on messages
    referencing new table as added for each statement execute function embed_new_messages();

create function embed_changed_message() returns trigger language plpgsql as $$
begin
    delete from message_embeddings where team_id = new.team_id and channel_id = new.channel_id and ts = new.ts;
    if new.searchable and new.deleted_at is null and new.text ~ '\S' then
        insert into embedding_queue (team_id, channel_id, ts) values (new.team_id, new.channel_id, new.ts)
        on conflict (team_id, channel_id, ts) do update set attempts = 0, due_at = now();
    else
        delete from embedding_queue where team_id = new.team_id and channel_id = new.channel_id and ts = new.ts;
    end if;
    return null;
end $$;
create trigger messages_changed after update of text, searchable, deleted_at on messages for each row
    when (old.text is distinct from new.text or old.searchable is distinct from new.searchable
          or old.deleted_at is distinct from new.deleted_at)
    execute function embed_changed_message();

create function forget_removed_messages() returns trigger language plpgsql as $$
begin
    delete from message_embeddings e using removed r
    where e.team_id = r.team_id and e.channel_id = r.channel_id and e.ts = r.ts;
    delete from embedding_queue q using removed r
    where q.team_id = r.team_id and q.channel_id = r.channel_id and q.ts = r.ts;
    return null;
end $$;
create trigger messages_removed after delete on messages
    referencing old table as removed for each statement execute function forget_removed_messages();

insert into embedding_queue (team_id, channel_id, ts)
select team_id, channel_id, ts from messages where searchable and deleted_at is null and text ~ '\S';
