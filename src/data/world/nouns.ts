import { wordEntity } from './antonyms.ts';
import { capitalise, fact, rows } from './fact.ts';
import type { Fact } from './fact.ts';

// A category in the singular and the plural, then its nouns: word, gender, English. A dash in place
// of the English where British and American usage part, or where one word does not render it; `!`
// before a word that is hardly used in the plural.
const CATEGORIES = rows(`
  una fruta|las frutas|manzana f apple, pera f pear, naranja f orange, limón m lemon, fresa f strawberry, uva f grape, cereza f cherry, piña f pineapple, sandía f watermelon, melón m melon, ciruela f plum, higo m fig, mango m mango, frambuesa f raspberry, mora f blackberry, kiwi m kiwi, albaricoque m apricot, pomelo m grapefruit, mandarina f tangerine
  una hortaliza|las hortalizas|lechuga f lettuce, zanahoria f carrot, cebolla f onion, espinaca f spinach, coliflor f cauliflower, repollo m cabbage, pepino m cucumber, apio m celery, alcachofa f artichoke, rábano m radish, ajo m garlic, nabo m turnip, puerro m leek, espárrago m asparagus, berenjena f -
  un mamífero|los mamíferos|perro m dog, gato m cat, caballo m horse, vaca f cow, oveja f sheep, cabra f goat, cerdo m pig, león m lion, tigre m tiger, elefante m elephant, jirafa f giraffe, mono m monkey, oso m bear, lobo m wolf, zorro m fox, ratón m mouse, conejo m rabbit, ballena f whale, delfín m dolphin, murciélago m bat, camello m camel, burro m donkey, ardilla f squirrel, ciervo m deer, cebra f zebra, canguro m kangaroo, foca f seal, erizo m hedgehog
  un ave|las aves|gallina f hen, pato m duck, paloma f -, cigüeña f stork, búho m owl, loro m parrot, cisne m swan, pingüino m penguin, avestruz m ostrich, cuervo m -, gaviota f seagull, golondrina f swallow, pavo m turkey, halcón m falcon, gorrión m sparrow, flamenco m flamingo, buitre m vulture
  un pez|los peces|salmón m salmon, atún m tuna, sardina f sardine, trucha f trout, tiburón m shark, bacalao m cod, merluza f hake, anguila f eel, lenguado m sole, besugo m -
  un insecto|los insectos|mosca f fly, mosquito m mosquito, abeja f bee, avispa f wasp, hormiga f ant, mariposa f butterfly, escarabajo m beetle, grillo m cricket, cucaracha f cockroach, libélula f dragonfly, polilla f moth, pulga f flea, mariquita f -
  un reptil|los reptiles|serpiente f snake, tortuga f turtle, cocodrilo m crocodile, lagarto m lizard, camaleón m chameleon, iguana f iguana, víbora f viper
  un color|los colores|azul m blue, verde m green, rojo m red, amarillo m yellow, negro m black, blanco m white, gris m -, morado m purple, marrón m brown
  un mueble|los muebles|mesa f table, silla f chair, cama f bed, armario m wardrobe, sofá m sofa, estantería f bookcase, escritorio m desk, sillón m armchair, taburete m stool, cuna f -, mecedora f -
  un instrumento musical|los instrumentos musicales|guitarra f guitar, piano m piano, violín m violin, flauta f flute, trompeta f trumpet, tambor m drum, saxofón m saxophone, clarinete m clarinet, trombón m trombone, violonchelo m cello, acordeón m accordion, oboe m oboe, pandereta f tambourine, gaita f bagpipes
  una prenda de vestir|las prendas de vestir|camisa f shirt, pantalón m -, falda f skirt, vestido m dress, abrigo m coat, chaqueta f jacket, calcetín m sock, bufanda f scarf, guante m glove, corbata f tie, blusa f blouse, camiseta f -, chaleco m -, gorra f cap, cinturón m belt
  un vehículo|los vehículos|coche m car, autobús m bus, tren m train, avión m plane, barco m -, bicicleta f bicycle, motocicleta f motorcycle, camión m -, tranvía m tram, helicóptero m helicopter, submarino m submarine, ambulancia f ambulance, tractor m tractor, furgoneta f van, cohete m rocket, taxi m taxi
  una herramienta|las herramientas|martillo m hammer, destornillador m screwdriver, sierra f -, taladro m drill, pala f shovel, rastrillo m rake, cincel m chisel, serrucho m handsaw, azada f hoe
  un deporte|los deportes|!fútbol m -, !baloncesto m basketball, !tenis m tennis, !natación f swimming, !balonmano m handball, !voleibol m volleyball, !ciclismo m cycling, !atletismo m athletics, !boxeo m boxing, !esgrima f fencing, !golf m golf, !rugby m rugby, !béisbol m baseball, !judo m judo, !remo m rowing, !esquí m skiing
  una flor|las flores|rosa f rose, margarita f daisy, tulipán m tulip, clavel m carnation, girasol m sunflower, orquídea f orchid, lirio m lily, amapola f poppy, dalia f dahlia, jazmín m jasmine, narciso m daffodil, hortensia f hydrangea, gardenia f gardenia, petunia f petunia
  un árbol|los árboles|pino m pine, roble m oak, sauce m willow, almendro m almond tree, abeto m fir, cedro m cedar, ciprés m cypress, eucalipto m eucalyptus, álamo m poplar, olmo m elm, encina f holm oak, limonero m lemon tree, cerezo m cherry tree, nogal m walnut tree, arce m maple, abedul m birch, castaño m -, fresno m -
  una parte del cuerpo|las partes del cuerpo|mano f hand, cabeza f head, nariz f nose, boca f mouth, ojo m eye, oreja f ear, brazo m arm, pierna f leg, rodilla f knee, codo m elbow, hombro m shoulder, espalda f back, cuello m neck, pie m foot, dedo m -, lengua f tongue, barbilla f chin, tobillo m ankle, mejilla f cheek, ceja f eyebrow
  un metal|los metales|!hierro m iron, !oro m gold, !plata f silver, !cobre m copper, !plomo m lead, !aluminio m -, !estaño m tin, !níquel m nickel, !titanio m titanium
  una figura geométrica|las figuras geométricas|triángulo m triangle, cuadrado m square, círculo m circle, rectángulo m rectangle, rombo m rhombus, pentágono m pentagon, hexágono m hexagon
  una bebida|las bebidas|!leche f milk, vino m wine, cerveza f beer, zumo m juice, !té m tea, café m coffee, limonada f lemonade, sidra f cider
`);

// Nouns without a category: word and English.
const OTHERS = `
  casa house, libro book, lápiz pencil, voz voice, cruz cross, juez judge, nuez -, canción song, nación nation,
  habitación room, lección lesson, jabón soap, cajón drawer, botón button, balcón balcony, rincón corner,
  examen exam, imagen image, volumen volume, origen origin, reloj -, ciudad city, pared wall, mujer woman,
  hombre man, rey king, ley law, papel paper, hotel hotel, hospital hospital, río river, montaña mountain,
  calle street, puerta door, ventana window, llave key, cuchara spoon, tenedor fork, cuchillo knife, plato plate,
  vaso glass, botella bottle, pan bread, queso cheese, huevo egg, sal salt, escuela school, iglesia church,
  puente bridge, isla island, playa beach, bosque forest, nube cloud, lluvia rain, viento wind, estrella star,
  luna moon, fuego fire, piedra stone, año year, mes month, semana week, hora hour, minuto minute, carta letter,
  regalo gift, juguete toy, madre mother, padre father, hijo son, hija daughter, hermano brother, hermana sister,
  abuelo grandfather, abuela grandmother, tío uncle, tía aunt, médico doctor, abogado lawyer, carpintero carpenter,
  panadero baker, enfermero nurse, maestro teacher, ingeniero engineer, arquitecto architect, bombero firefighter,
  cocinero cook, pintor painter, escritor writer, zapatero shoemaker, sastre tailor, peluquero hairdresser,
  camarero waiter, pescador fisherman, agricultor farmer, periodista journalist, dentista dentist,
  electricista electrician, fontanero plumber, piloto pilot, actor actor, autor author, motor engine, dolor pain,
  error error, jardín garden, interés interest, menú menu, crisis crisis, paraguas umbrella, tesis thesis,
  virus virus, análisis analysis, cumpleaños birthday, carácter -, régimen -, espécimen specimen, raíz root,
  actriz actress, arroz rice, disfraz costume, perdiz partridge, cicatriz scar, lombriz earthworm, matriz matrix,
  corazón heart, razón reason, tradición tradition, opinión opinion, emoción emotion, televisión television,
  decisión decision, región region, religión religion, pasión passion, misión mission, operación operation,
  solución solution, posición position, jersey -, andén platform, ladrón thief, limosna alms, sótano basement,
  cuerda rope, anillo ring, espejo mirror, almohada pillow, manta blanket, cuadro painting, biblioteca library,
  puerto port, castillo castle, torre tower, desierto desert, valle valley, lago lake, volcán volcano,
  terremoto earthquake, semilla seed, jaula cage, nido nest, ala wing
`;

// Words of other kinds that only the translations ask for.
const ADJECTIVES_IN_ENGLISH = `
  alto tall, largo long, gordo fat, ancho wide, caliente hot, frío cold, rápido fast, lento slow, fuerte strong,
  débil weak, nuevo new, viejo old, joven young, rico rich, pobre poor, limpio clean, sucio dirty, lleno full,
  vacío empty, duro hard, seco dry, mojado wet, oscuro dark, fácil easy, difícil difficult, triste sad, bueno good,
  malo bad, feo ugly, caro expensive, barato cheap, abierto open, cerrado closed, falso false, posible possible,
  imposible impossible, útil useful, inútil useless, visible visible, invisible invisible, justo fair, injusto unfair,
  legal legal, ilegal illegal, perfecto perfect, completo complete, cómodo comfortable, valiente brave,
  generoso generous, pesado heavy, público public, privado private, moderno modern, natural natural,
  vivo alive, muerto dead, dormido asleep, nervioso nervous, honesto honest, leal loyal, crudo raw,
  culpable guilty, inocente innocent, norte north, sur south, día day, noche night,
  amigo friend, enemigo enemy, paz peace, guerra war, amor love, odio hatred, vida life, muerte death,
  victoria victory, derrota defeat, verdad truth, mentira lie, riqueza wealth, pobreza poverty, alegría joy,
  tristeza sadness, éxito success, fracaso failure, luz light, oscuridad darkness, belleza beauty, salud health,
  libertad freedom, silencio silence, siempre always, nunca never, lunes Monday, martes Tuesday,
  miércoles Wednesday, jueves Thursday, viernes Friday, sábado Saturday, domingo Sunday, enero January,
  febrero February, marzo March, abril April, mayo May, junio June, julio July, agosto August,
  septiembre September, octubre October, noviembre November, diciembre December
`;

interface Noun {
  word: string;
  gender?: string;
  english: string;
  hasPlural: boolean;
  category?: string;
  group?: string;
}

const NOUNS: Noun[] = [
  ...CATEGORIES.flatMap(([category, group, words]) => words!.split(', ').map((entry) => {
    const [word, gender, ...english] = entry.replace('!', '').split(' ');
    return { word: word!, gender: gender!, english: english.join(' '), hasPlural: !entry.startsWith('!'), category, group };
  })),
  ...OTHERS.trim().split(/,\s+/).map((entry) => {
    const [word, english] = entry.split(' ');
    return { word: word!, english: english!, hasPlural: true };
  }),
];

const IRREGULAR_PLURALS = new Map(Object.entries({
  carácter: 'caracteres', régimen: 'regímenes', espécimen: 'especímenes', jersey: 'jerséis',
  examen: 'exámenes', imagen: 'imágenes', volumen: 'volúmenes', origen: 'orígenes',
  crisis: 'crisis', tesis: 'tesis', análisis: 'análisis', virus: 'virus', paraguas: 'paraguas', cumpleaños: 'cumpleaños',
}));
const BARE_VOWEL = new Map(Object.entries({ á: 'a', é: 'e', í: 'i', ó: 'o', ú: 'u' }));

/**
 * The plural by the rules of Spanish spelling: -s after a vowel, -es after a consonant, -z to -ces,
 * and the accent of a final -ón, -és, -ín lost, but not that of -aís.
 */
export function plural(word: string): string {
  const irregular = IRREGULAR_PLURALS.get(word);
  if (irregular) return irregular;
  if (/[aeiouáéóú]$/.test(word)) return `${word}s`;
  if (word.endsWith('z')) return `${word.slice(0, -1)}ces`;
  return `${word.replace(/([áéó]|(?<![aeo])[íú])([ns])$/, (_, vowel: string, end: string) => BARE_VOWEL.get(vowel)! + end)}es`;
}

export function pluralFacts(): Fact[] {
  return NOUNS.filter((noun) => noun.hasPlural).map(({ word }) => {
    const many = plural(word);
    return fact({ family: 'plurales', entity: wordEntity(word), subject: word }, [
      `El plural de ${word} es ${many}.`,
      `${many} es el plural de ${word}.`,
      `El singular de ${many} es ${word}.`,
      `La palabra ${word}, en plural, es ${many}.`,
      `Cuando hay más de uno, de ${word} se pasa a ${many}.`,
      `La palabra ${many} es el plural de ${word}.`,
      `En plural, ${word} se convierte en ${many}.`,
    ], [
      `¿Cuál es el plural de ${word}?`,
      `Di el plural de ${word}.`,
      ['Escribe el plural.', `Palabra: ${word}`],
    ]);
  });
}

export function categoryFacts(): Fact[] {
  return NOUNS.filter((noun) => noun.category).map(({ word, gender, category, group }) => {
    const named = `${gender === 'f' ? 'la' : 'el'} ${word}`;
    return fact({ family: 'categorías', entity: wordEntity(word), subject: named }, [
      capitalise(`${named} es ${category}.`),
      `Entre ${group} está ${named}.`,
      `${named} está entre ${group}.`,
      `Entre ${group} figura ${named}.`,
      `${named} se cuenta entre ${group}.`,
      `La palabra ${word} nombra ${category}.`,
      `En el grupo de ${group} está ${named}.`,
    ], [
      `¿Qué es ${named}?`,
      `¿Qué clase de cosa es ${named}?`,
      ['Di qué es.', `Palabra: ${named}`],
    ]);
  });
}

export function translationFact(word: string, english: string): Fact {
  return fact({ family: 'traducciones', entity: wordEntity(word), subject: word }, [
    `En inglés, ${word} se dice ${english}.`,
    `La palabra inglesa para ${word} es ${english}.`,
    `La palabra ${word} se dice ${english} en inglés.`,
    `En español, ${english} se dice ${word}.`,
    `La traducción de ${word} al inglés es ${english}.`,
    `${word} se traduce al inglés por ${english}.`,
    `La palabra inglesa ${english} significa ${word}.`,
  ], [
    `¿Cómo se dice ${word} en inglés?`,
    `Traduce al inglés la palabra ${word}.`,
    ['Traduce al inglés.', `Palabra: ${word}`],
  ]);
}

export function wordTranslationFacts(): Fact[] {
  const others = ADJECTIVES_IN_ENGLISH.trim().split(/,\s+/).map((entry) => entry.split(' '));
  return [
    ...NOUNS.filter((noun) => noun.english !== '-').map(({ word, english }) => translationFact(word, english)),
    ...others.map(([word, english]) => translationFact(word!, english!)),
  ];
}
