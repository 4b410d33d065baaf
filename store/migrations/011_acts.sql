-- An order that ends by itself.
alter table control add column until timestamptz;

-- A roll-out: one act on many nodes, so many at a time. The plan is frozen with it: each node by its id in PLC.
create table rollout (
    id text primary key,
    plan jsonb not null,
    made timestamptz not null default now(),
    status text not null default 'planned',
    why text not null default '',
    ended timestamptz
);
create table rollout_node (
    rollout text not null references rollout on delete cascade,
    seq int not null,
    node_id int not null,
    host text not null,
    site text not null,
    grp int not null default 0,
    tries int not null default 0,
    state text not null default 'planned',
    run_id text not null default '',
    reason text not null default '',
    began timestamptz,
    ended timestamptz,
    primary key (rollout, seq),
    unique (rollout, node_id)
);

-- A command that a person had run on nodes, and what each said.
create table run (
    id text primary key,
    command text not null,
    ordered jsonb not null,
    began timestamptz not null default now(),
    ended timestamptz
);
create table run_node (
    run text not null references run on delete cascade,
    host text not null,
    site text not null,
    state text not null default 'planned',
    status int,
    output text not null default '',
    errors text not null default '',
    cut boolean not null default false,
    reason text not null default '',
    began timestamptz,
    ended timestamptz,
    primary key (run, host)
);
---- create above / drop below ----
drop table run_node, run, rollout_node, rollout;
alter table control drop column until;
