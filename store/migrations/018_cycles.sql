-- When nodes were last power-cycled, out of a ledger that is mostly of other things.
create index action_cycle on action (node, committed) include (outcome)
    where kind in ('reboot', 'reinstall') and committed is not null;

---- create above / drop below ----

drop index action_cycle;
