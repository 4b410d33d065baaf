-- The rules that hold of a node, by name: since when each does, what it says, and whether that is not known any more.
alter table ruled add column rules jsonb not null default '{}';

---- create above / drop below ----

alter table ruled drop column rules;
