-- Where unqualified names are created, and whether this role may.
SELECT current_user AS role,
       current_schema() AS schema,
       current_setting('transaction_read_only')::boolean AS read_only,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create;
