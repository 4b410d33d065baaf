-- By whom, and why, a run was called off. The process that carries it out reads it with its next sign of life.
alter table run add column called_off text not null default '';

---- create above / drop below ----

alter table run drop column called_off;
