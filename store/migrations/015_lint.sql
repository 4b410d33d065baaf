-- Whether the inventory gives a node interfaces of which none is the primary one, or none at all.
alter table node add column no_primary boolean not null default false;

---- create above / drop below ----

alter table node drop column no_primary;
