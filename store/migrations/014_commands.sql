-- What the rules of the configuration made of nodes at the last sweep: those of which one holds, or held when it was last known.
create table ruled (
    node text primary key,
    since timestamptz not null,
    reason text not null,
    stale boolean not null
);
-- When the process that runs a command on nodes gave its last sign of life.
alter table run add column beat timestamptz not null default now();
-- The groups of nodes that the inventory has it in, by name.
alter table node add column groups text[] not null default '{}';

---- create above / drop below ----

alter table node drop column groups;
alter table run drop column beat;
drop table ruled;
