-- Programs, and people on a command line, are known by tokens. Only the hash of a token is kept.
create table token (
    id text primary key,
    name text not null,
    hash bytea not null,
    role text not null,
    sites text[] not null,
    created timestamptz not null default now(),
    created_by text not null,
    reason text not null,
    expires timestamptz not null,
    used timestamptz,
    used_from text not null default '',
    revoked timestamptz
);
create unique index token_name on token (name) where revoked is null;
-- Whoever listens hears of each line of the ledger that is written or ends.
create function tell_ledger() returns trigger language plpgsql as $$
begin
    perform pg_notify('ledger', new.id::text);
    return null;
end $$;
create trigger action_told after insert or update of outcome, committed on action
    for each row execute function tell_ledger();

---- create above / drop below ----

drop trigger action_told on action;
drop function tell_ledger();
drop table token;
