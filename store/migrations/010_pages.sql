-- Where a site is on earth, by PLC, for the map.
alter table site add column latitude double precision;
alter table site add column longitude double precision;

-- Who is signed in to the pages. The token itself is in the visitor's cookie only; here is its hash.
create table web_session (
    token bytea primary key,
    data bytea not null,
    expires timestamptz not null
);
create index web_session_expires on web_session (expires);

-- Open pages hear of what changed: a notice for each statement, with the names of what it changed where they are few.
create function tell_pages() returns trigger language plpgsql as $$
declare
    names text;
    changed bigint;
begin
    if tg_op = 'DELETE' then
        perform pg_notify('monitor_pages', tg_argv[0]);
        return null;
    end if;
    if tg_argv[1] = '' then
        perform pg_notify('monitor_pages', tg_argv[0]);
        return null;
    end if;
    execute format('select count(*), string_agg(distinct %I::text, E''\n'') from (select * from changed limit 21) few',
        tg_argv[1]) into changed, names;
    if changed = 0 then
        return null;
    end if;
    if changed > 20 or length(names) > 4000 then
        names := '';
    end if;
    perform pg_notify('monitor_pages', tg_argv[0] || E'\n' || names);
    return null;
end
$$;
create trigger tell_pages_new after insert on action referencing new table as changed
    for each statement execute function tell_pages('ledger', 'issue');
create trigger tell_pages after update on action referencing new table as changed
    for each statement execute function tell_pages('ledger', 'issue');
create trigger tell_pages_new after insert on issue referencing new table as changed
    for each statement execute function tell_pages('issue', 'id');
create trigger tell_pages after update on issue referencing new table as changed
    for each statement execute function tell_pages('issue', 'id');
create trigger tell_pages after insert on history referencing new table as changed
    for each statement execute function tell_pages('status', 'target');
create trigger tell_pages after update on sweep referencing new table as changed
    for each statement execute function tell_pages('sweep', '');
create trigger tell_pages after insert or delete or update on control
    for each statement execute function tell_pages('control', '');
create trigger tell_pages after insert or delete or update on blacklist
    for each statement execute function tell_pages('control', '');
create trigger tell_pages after insert or delete or update on closed_by_operator
    for each statement execute function tell_pages('control', '');

---- create above / drop below ----

drop trigger tell_pages_new on action;
drop trigger tell_pages on action;
drop trigger tell_pages_new on issue;
drop trigger tell_pages on issue;
drop trigger tell_pages on history;
drop trigger tell_pages on sweep;
drop trigger tell_pages on control;
drop trigger tell_pages on blacklist;
drop trigger tell_pages on closed_by_operator;
drop function tell_pages;
drop table web_session;
alter table site drop column longitude, drop column latitude;
