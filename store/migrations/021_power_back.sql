-- Whether an outlet that was owed was on when its claim ended: its node had its power back then.
alter table claim add column back boolean not null default false;
update claim set back = true where kind = 'outlet' and how = 'found off, and turned on';

-- Who turned which outlet off, out of a ledger that is mostly of other things.
create index action_outlet on action (committed) where issue like 'outlet/%';

---- create above / drop below ----

drop index action_outlet;
alter table claim drop column back;
