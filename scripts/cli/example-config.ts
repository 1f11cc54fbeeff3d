/** The configuration that `keyturn init` writes. It is valid as it stands; a test checks it. */
export function exampleConfig(paths: {
  readonly schema: string;
  readonly keystore: string;
  readonly keyFile: string;
}): string {
  return `# yaml-language-server: $schema=${paths.schema}
# Every setting is described in docs/configuration.md. Check this file with: keyturn doctor

# What wraps the tenants' keys. "local" is a keystore file, for one machine.
provider:
  type: local
  keystore: ${quoted(paths.keystore)}
  keyFile: ${quoted(paths.keyFile)}
  # Or a passphrase from an environment variable, instead of keyFile:
  # passphraseFrom: KEYTURN_PASSPHRASE

# The databases.
stores:
  # A database in the PostgreSQL of the embedded stack; \`keyturn local start\` makes it.
  main:
    type: postgres
    embedded: app
  # Your own database. The URL has a password, so it stands in an environment variable, never here.
  # own:
  #   type: postgres
  #   urlFrom: DATABASE_URL
  #   tls:
  #     ca: ./database-ca.pem    # or verify-full, with the authorities that Node knows; that is the default

# The tables with encrypted fields. Put yours in the place of {}, such as:
recordSets: {}
#  customers:
#    store: main
#    table: customer
#    key: [customer_id]
#    tenant:
#      column: tenant_id        # or fixed: acme, where every row is one tenant's
#    fields:
#      - name: email            # bound into every envelope: never rename it
#        column: email_encrypted    # bytea, or text; \`keyturn adopt\` makes it when it is missing
#        plaintextColumn: email     # what \`keyturn adopt\` takes over

# How keys rotate. These are the defaults; a shorter grace needs acceptShortGrace, and is for trials only.
rotation:
  mode: rewrap                  # or re-encrypt: new data keys for every field
  cacheMaxAgeSeconds: 300       # longest time that your application caches a key
  backupRetentionSeconds: 3024000   # 35 days: how long the oldest backup is kept, and how long taking it lasts
  graceSeconds: 3024000         # 35 days: how long a version still decrypts before its purge
  soakSeconds: 604800           # 7 days: its rehearsal, in which whoever still asks for it ends the purge

# Who must agree before a version is destroyed. Nothing is destroyed until approvers stand here: \`keyturn approvers
# create\` makes a key for each and prints the lines. For a trial without them: required: 0, acceptNoApprovals: true
approvals:
  required: 2
  approvers: {}
`;
}

/** A JSON string is a YAML string. */
function quoted(path: string): string {
  return /^[A-Za-z0-9._/-]+$/.test(path) ? path : JSON.stringify(path);
}
