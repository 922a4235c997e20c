// The version of the program, as package.json has it: the build puts the same text in its place.
import manifest from '../package.json' with { type: 'json' };

export const VERSION: string = manifest.version;
