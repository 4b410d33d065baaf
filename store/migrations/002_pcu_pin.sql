create table pcu_pin (
    pcu_id int not null,
    kind text not null,
    pin text not null,
    seen timestamptz not null default now(),
    primary key (pcu_id, kind)
);
---- create above / drop below ----
drop table pcu_pin;
