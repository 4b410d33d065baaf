-- A sweep asks which issues closed while it looked.
create index issue_closed on issue (closed) where closed is not null;

---- create above / drop below ----

drop index issue_closed;
