-- The team's documentation: copies of its files, cut into chunks that are found by their words and by their meaning.

create table documents (
    document_id bigint generated always as identity primary key,
    source      text not null,            -- its name in the configuration
    path        text not null,            -- inside the source
    url         text not null unique,     -- what people and the model call it
    title       text not null,
    blob        text not null,            -- git's SHA-1 of the bytes
    text        text not null,
    updated_at  timestamptz not null default now(),
    unique (source, path)
);

-- How many words a text has, each as often as it stands there, and without the commonest ones.
create function count_words(message text) returns integer language sql immutable parallel safe
return (select coalesce(sum(coalesce(array_length(positions, 1), 1)), 0)::integer from unnest(search_vector(message)));

-- Words of what stands above a chunk weigh more than those in it, so they are kept apart.
create table document_chunks (
    document_id   bigint not null references documents on delete cascade,
    position      integer not null,
    headings      text[] not null,
    first_line    integer not null,
    last_line     integer not null,
    text          text not null,
    label         text not null,          -- path, title, headings
    digest        text not null,          -- of what is embedded: title, headings, text
    label_words   tsvector not null generated always as (search_vector(label)) stored,
    body_words    tsvector not null generated always as (search_vector(text)) stored,
    words         integer not null generated always as (count_words(text)) stored,
    primary key (document_id, position)
);
create index document_chunks_digest on document_chunks (digest);
create index document_chunks_label on document_chunks using gin (label_words);
create index document_chunks_body on document_chunks using gin (body_words);

-- In how many chunks each word stands, so that rare words weigh more. Triggers keep the counts exact: whoever changes
-- documents holds a lock (storage/documents.py), so no two of them count at once.
create table chunk_lexemes (
    lexeme text collate "C" primary key,
    chunks integer not null
);
create table chunk_totals (
    only_row boolean primary key default true check (only_row),
    chunks   bigint not null,
    words    bigint not null              -- of all of them
);
insert into chunk_totals (chunks, words) values (0, 0);

create function count_chunks() returns trigger language plpgsql as $$
declare
    sign integer := case tg_op when 'INSERT' then 1 else -1 end;
begin
    insert into chunk_lexemes as known (lexeme, chunks)
    select lexeme, sign * count(*)
    from changed, unnest(tsvector_to_array(label_words || body_words)) as lexeme
    where length(lexeme) <= 200
    group by lexeme
    on conflict (lexeme) do update set chunks = known.chunks + excluded.chunks;
    if sign < 0 then
        delete from chunk_lexemes known using changed
        where chunks <= 0 and known.lexeme = any(tsvector_to_array(label_words || body_words));
    end if;
    update chunk_totals t set chunks = t.chunks + sign * added.chunks, words = t.words + sign * added.words
    from (select count(*) as chunks, coalesce(sum(words), 0) as words from changed) as added;
    return null;
end $$;
create trigger chunks_added after insert on document_chunks
    referencing new table as changed for each statement execute function count_chunks();
create trigger chunks_removed after delete on document_chunks
    referencing old table as changed for each statement execute function count_chunks();

-- By what was embedded, not by where it stands: a chunk that moves or comes back keeps its vector. Each space has an
-- HNSW index of its own, chunk_embeddings_space_ID, which storage/chunk_vectors.py creates with it.
create table chunk_embeddings (
    digest    text not null,
    space_id  integer not null references embedding_spaces on delete cascade,
    embedding halfvec not null,
    primary key (digest, space_id)
);

-- Chunks that wait for their vector in the current space. Whoever embeds takes them until due_at.
create table chunk_embedding_queue (
    digest   text primary key,
    attempts integer not null default 0,
    due_at   timestamptz not null default now()
);
