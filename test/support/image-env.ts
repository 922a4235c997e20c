// What the image sets for the process (Dockerfile): where memory is measured, it is measured as it ships.
export const IMAGE_ENV = {
  NODE_OPTIONS: '--max-semi-space-size=2',
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
} as const;
