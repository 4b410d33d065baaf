create table host_key (
    host text primary key,
    key text not null,
    fingerprint text not null,
    seen timestamptz not null,
    reason text not null
);
create table bootman_sequences (
    sequence text primary key,
    action text not null,
    owner text not null,
    changed timestamptz not null default now()
);
insert into bootman_sequences (sequence, action, owner) values {{ range $i, $k := .bootman_sequences }}{{ if $i }},{{ end }}
    ('{{ $k.Sequence }}', '{{ $k.Action }}', 'shipped'){{ end }};
create table bootman_logs (
    id bigint generated always as identity primary key,
    node text not null,
    at timestamptz not null,
    sequence text not null,
    size int not null,
    cut boolean not null,
    log bytea not null
);
create index bootman_logs_node on bootman_logs (node, id desc);
create table bootman_repairs (
    id bigint generated always as identity primary key,
    key text not null unique,
    node text not null,
    sequence text not null,
    action text not null,
    at timestamptz not null
);
create index bootman_repairs_node on bootman_repairs (node, at desc);
---- create above / drop below ----
drop table bootman_repairs, bootman_logs, bootman_sequences, host_key;
