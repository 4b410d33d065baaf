-- What a look shows is written when it changes. When a node or PCU was last looked at stands in seen, a row a batch.
alter table node drop column uptime;
alter table node add column booted timestamptz;
alter table node add column first_silent timestamptz;
alter table node add column bad_since timestamptz;
alter table node add column judged text not null default '';
alter table node add column symptoms jsonb;
alter table pcu add column bad_since timestamptz;
alter table history add column detail jsonb;
create index history_at on history (at);
create table seen (
    kind text not null,
    after int not null,
    upto int not null,
    at timestamptz not null,
    missed int[] not null,
    primary key (kind, upto)
);
create table sweep (
    id bigint generated always as identity primary key,
    run text not null unique,
    started timestamptz not null,
    beat timestamptz not null,
    ended timestamptz,
    believed boolean not null default false,
    vouched boolean not null default false,
    reason text not null default '',
    doubts jsonb not null default '{}',
    counts jsonb not null default '{}'
);
create index sweep_believed on sweep (id) where believed;
---- create above / drop below ----
drop table sweep, seen;
drop index history_at;
alter table history drop column detail;
alter table pcu drop column bad_since;
alter table node drop column booted, drop column first_silent, drop column bad_since, drop column judged, drop column symptoms;
alter table node add column uptime bigint not null default 0;
