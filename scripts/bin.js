#!/usr/bin/env node
// The first file to run, and the only one that an old Node understands: scripts/build.ts copies it to dist/main.js, in
// front of the program. It imports nothing before it has checked the version, since the other imports fail on an old
// Node with a stack trace.
const NEEDED = '24.17';

const [major, minor] = process.versions.node.split('.').map(Number);
const [neededMajor, neededMinor] = NEEDED.split('.').map(Number);
const tooOld = major < neededMajor || (major === neededMajor && minor < neededMinor);
if (tooOld && !['--help', '-h', 'help', '--version'].includes(process.argv[2])) {
  process.stderr.write(
    `entrupy-signature-proxy needs Node ${NEEDED} or later, and this is ${process.versions.node}: use a newer one.\n`,
  );
  process.exitCode = 1;
} else {
  await import('./program.js');
}
