-- A fleet without PLC: the ids of its names, and what Monitor keeps in PLC's place.
create table inventory_id (
    kind text not null,
    name text not null,
    id int not null,
    primary key (kind, name),
    unique (kind, id)
);
create table own_state (
    kind text not null,
    name text not null,
    state text not null,
    changed timestamptz not null default now(),
    primary key (kind, name)
);
---- create above / drop below ----
drop table own_state, inventory_id;
