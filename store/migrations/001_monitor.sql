create table site (
    login_base text primary key,
    site_id int not null unique,
    name text not null,
    enabled boolean not null,
    created timestamptz,
    pending boolean not null,
    exempt_until timestamptz,
    gone boolean not null default false,
    status text not null default '',
    changed timestamptz,
    penalty_level int not null default 0,
    last_raise timestamptz
);
create table node (
    node_id int primary key,
    hostname text not null unique,
    site text not null,
    ip text not null,
    boot_state text not null,
    model text not null,
    last_contact timestamptz,
    pcu_id int not null,
    outlet int not null,
    exempt_until timestamptz,
    gone boolean not null default false,
    status text not null default '',
    changed timestamptz,
    state text not null default '',
    category text not null default '',
    firewall boolean not null default false,
    reason text not null default '',
    uptime bigint not null default 0,
    seen_at timestamptz,
    detail jsonb
);
create index node_site on node (site);
create table pcu (
    pcu_id int primary key,
    name text not null,
    site text not null,
    hostname text not null,
    ip text not null,
    username text not null,
    password bytea,
    model text not null,
    gone boolean not null default false,
    status text not null default '',
    changed timestamptz,
    ok boolean not null default false,
    reason text not null default '',
    seen_at timestamptz
);
create index pcu_name on pcu (name);
create table person (
    person_id int not null,
    site text not null,
    email text not null,
    roles text[] not null,
    exempt_until timestamptz,
    primary key (person_id, site)
);
create table snapshot (taken timestamptz not null);
create table history (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    kind text not null,
    target text not null,
    was text not null,
    became text not null,
    reason text not null
);
create index history_target on history (kind, target, at desc);
create table action (
    id bigint generated always as identity primary key,
    key text not null unique,
    kind text not null,
    issue text not null,
    node text not null,
    site text not null,
    pcu int not null,
    reason text not null,
    at timestamptz not null default now(),
    outcome text not null default '',
    detail text not null default '',
    finished timestamptz
);
create index action_kind on action (kind, at desc);
create index action_issue on action (issue, at desc);
create index action_node on action (node, at desc);
create table issue (
    id text primary key,
    run_id text not null,
    type text not null,
    target text not null,
    node text not null,
    site text not null,
    pcu int not null,
    status text not null,
    rung text not null,
    level int not null,
    opened timestamptz not null,
    closed timestamptz,
    next text not null,
    next_at timestamptz,
    outcome text not null,
    cause text not null
);
create table blacklist (
    kind text not null,
    target text not null,
    starts timestamptz not null,
    until timestamptz,
    owner text not null,
    reason text not null,
    downtime boolean not null,
    primary key (kind, target, starts)
);
create table notice (
    id bigint generated always as identity primary key,
    kind text not null,
    target text not null,
    site text not null,
    message_id text not null,
    recipients text[] not null,
    at timestamptz not null,
    unique (message_id, kind, target)
);
---- create above / drop below ----
drop table notice, blacklist, issue, action, history, snapshot, person, pcu, node, site;
