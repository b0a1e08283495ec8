/** What the bar under the slides says, as HTML: names of its buttons, which their titles repeat. */
const bar: readonly (readonly [string, string])[] = [
  ['Previous slide', 'Diapositiva anterior'], ['Next slide', 'Diapositiva siguiente'], ['Toggle fullscreen', 'Pantalla completa'],
  ['Toggle overview view', 'Vista general'], ['Open presenter view', 'Vista de presentador'],
];

/** What its script says: the place of a slide, the presenter's view and the overview. */
const script: readonly (readonly [string | RegExp, string])[] = [
  [/`Page (\$\{[^}]+\}) of (\$\{[^}]+\})`/g, '`Diapositiva $1 de $2`'],
  [/`(\$\{\w+\}) is disabled due to restricted localStorage\.`/g, '`$1: el navegador no deja que la página guarde datos.`'],
  ['"[Presenter view]"', '"[Vista de presentador]"'], ['"Presenter view"', '"Vista de presentador"'],
  ['"[Overview]"', '"[Vista general]"'], ['"Overview view"', '"Vista general"'], ['"Close overview"', '"Cerrar la vista general"'],
  ['"Previous"', '"Anterior"'], ['"Next"', '"Siguiente"'], ['"Current time"', '"Hora"'], ['"Timer"', '"Tiempo transcurrido"'],
  ['"Smaller notes font size"', '"Letra más pequeña en las notas"'],
  ['"Bigger notes font size"', '"Letra más grande en las notas"'],
  ['toLocaleTimeString()', 'toLocaleTimeString("es")'],
];

/**
 * Who cannot see the slides hears which one has come, turns them by the bar, which hides from sight alone, and is told
 * what each frame holds.
 */
const heard = {
  bar: [['data-bespoke-marp-osc="page"', 'data-bespoke-marp-osc="page" role="status"']],
  script: [
    [/("marp-inactive",\(\)=>)\w+\(\w+,!0\)/g, '$1{}'], ['src:"?view=next"', 'title:"Diapositiva siguiente",src:"?view=next"'],
    [/(createElement\("iframe"\);(\w+)\.)src=/g, '$1title="Vista general",$2.src='],
  ],
} as const;

/** The signs on its buttons are white pictures: where the reader's own colours are forced, so may their ground be. */
const signs = ['osc button', 'overview-close', 'presenter-info-container button', 'presenter-note-container button'];
const style = '<style>@media (forced-colors: active) and (prefers-color-scheme: light) { '
  + `${signs.map((sign) => `.bespoke-marp-${sign}`).join()} { filter: invert(1) } }</style>`;

/**
 * A page of marp-cli's, whose player knows English alone, in Spanish, and for who hears it: its bar and its script,
 * which stand before the slides and after them. What another Marp has in their place stays as it is.
 */
export function inSpanish(page: string): string {
  const end = page.lastIndexOf('<script>');
  return page.slice(0, end).replace('<style>', () => `${style}<style>`).replace(/<div class="bespoke-marp-osc">.*?<\/div>/s, (buttons) => told(buttons, [...bar, ...heard.bar]))
    + told(page.slice(end), [...script, ...heard.script]);
}

const told = (text: string, words: readonly (readonly [string | RegExp, string])[]): string =>
  words.reduce((so, [english, spanish]) => so.replaceAll(english, spanish), text);
