-- Which turns of a thread called tools, and the highest reference of what these found, without reading the whole thread.
create index conversation_messages_tools on conversation_messages (thread_key, turn_id)
    where message ->> 'type' = 'tool';
create index conversation_messages_references on conversation_messages (
    thread_key,
    (substring(message -> 'data' -> 'additional_kwargs' ->> 'reference' from '^[eE]([0-9]{1,6})$')::int)
) where message ->> 'type' = 'tool';
