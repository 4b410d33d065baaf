-- What others say of nodes, as the last reading of each source found it, and when a source was last read.
create table source (
    name text primary key,
    read timestamptz,
    trouble text not null default '',
    since timestamptz not null
);
create table told (
    node text not null,
    source text not null references source on delete cascade,
    name text not null,
    value jsonb not null,
    at timestamptz not null,
    primary key (node, source, name)
);
-- A log that came from the address of a node, and that nobody fetched: it tells people why, and nothing acts on it.
alter table bootman_logs add column pushed boolean not null default false;

---- create above / drop below ----

alter table bootman_logs drop column pushed;
drop table told, source;
