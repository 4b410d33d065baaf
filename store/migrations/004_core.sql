-- The ledger: typed kinds, data as jsonb, the moment of commitment, and repeats counted instead of written anew.
alter table action add column run_id text not null default '';
alter table action add column data jsonb;
alter table action add column committed timestamptz;
alter table action add column times int not null default 1;
create index action_site on action (site, at desc);

-- An issue that opens again is a new row, and its timeline is kept.
alter table issue drop constraint issue_pkey;
alter table issue add primary key (id, run_id);
alter table issue add column seq int not null default 0;
alter table issue add column state jsonb;
create index issue_opened on issue (id, opened desc);
create index issue_not_closed on issue (type) where status <> 'closed';
create table issue_event (
    id text not null,
    run_id text not null,
    seq int not null,
    at timestamptz not null,
    event jsonb not null,
    primary key (id, run_id, seq)
);

-- What Monitor holds in the world. A row outlives the workflow that took it.
create table claim (
    id bigint generated always as identity primary key,
    kind text not null,
    target text not null,
    site text not null,
    issue text not null,
    run_id text not null,
    key text not null,
    was text not null default '',
    set_to text not null default '',
    data jsonb,
    taken timestamptz not null default now(),
    released timestamptz,
    how text not null default ''
);
create unique index claim_held on claim (kind, target, issue) where released is null;
create index claim_issue on claim (issue) where released is null;
create index claim_site on claim (site) where released is null;

-- Orders that hold for the whole fleet.
create table control (
    name text primary key,
    value text not null,
    by text not null,
    reason text not null,
    at timestamptz not null default now()
);

-- Issues that an operator closed: a sweep leaves their targets alone until they were good once.
create table closed_by_operator (
    issue text primary key,
    by text not null,
    reason text not null,
    at timestamptz not null default now()
);
---- create above / drop below ----
drop table closed_by_operator, control, claim, issue_event;
