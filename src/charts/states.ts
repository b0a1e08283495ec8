/** What is held from one training step to the next, in the order in which it is stacked: everywhere in one colour. */
export const states = [
  { key: 'weights', name: 'parámetros', color: 'quiet' },
  { key: 'gradients', name: 'gradientes', color: 'learns' },
  { key: 'optimizer', name: 'optimizador', color: 'measured' },
] as const;
