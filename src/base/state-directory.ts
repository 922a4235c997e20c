// Where the program keeps what must outlive it, unless the configuration says otherwise.
export const STATE_DIRECTORY = '/var/lib/entrupy-signature-proxy';
