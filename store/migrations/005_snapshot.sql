-- In how many snapshots in a row PLC lacked it; after three it is gone.
alter table site add column missing int not null default 0;
alter table node add column missing int not null default 0;
alter table pcu add column missing int not null default 0;

-- What PLC saw of a node, and every outlet that feeds it.
alter table node add column run_level text not null default '';
alter table node add column last_boot timestamptz;
alter table node add column last_download timestamptz;
alter table node add column last_pcu_reboot timestamptz;
alter table node add column last_pcu_confirmation timestamptz;
alter table node add column feeds jsonb not null default '[]';
---- create above / drop below ----
alter table node drop column run_level, drop column last_boot, drop column last_download, drop column last_pcu_reboot,
    drop column last_pcu_confirmation, drop column feeds, drop column missing;
alter table pcu drop column missing;
alter table site drop column missing;
