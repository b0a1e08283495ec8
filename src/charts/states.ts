/** What a training step holds from one to the next, in the order in which it is stacked; the same colour wherever it is drawn. */
export const states = [
  { key: 'weights', name: 'parámetros', color: 'quiet' },
  { key: 'gradients', name: 'gradientes', color: 'learns' },
  { key: 'optimizer', name: 'optimizador', color: 'measured' },
] as const;
