// The pages of the docs that commands print, read from their files; a build puts their text here (scripts/bundle.ts).
import { readFileSync } from 'node:fs';

const read = (page: string) => readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8');

export const COMMANDS_PAGE = read('commands.md');
export const ALERTS_PAGE = read('alerts.md');
