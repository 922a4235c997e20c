// Where the program looks, unless it is told otherwise: for its configuration, and for what must outlive it.
export const CONFIG_FILE = '/etc/entrupy-signature-proxy/config.yaml';
export const STATE_DIRECTORY = '/var/lib/entrupy-signature-proxy';
