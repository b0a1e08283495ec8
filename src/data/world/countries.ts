import { fact, rows } from './fact.ts';
import type { Fact } from './fact.ts';

// Country, capital, continent, currency, demonym. A dash where there are two defensible answers
// (Bolivia's capital, Turkey's continent, «keniano» and «keniata»).
// Spellings follow the Real Academia's list of countries.
const COUNTRIES = rows(`
  España|Madrid|Europa|el euro|español
  Francia|París|Europa|el euro|francés
  Italia|Roma|Europa|el euro|italiano
  Portugal|Lisboa|Europa|el euro|portugués
  Alemania|Berlín|Europa|el euro|alemán
  Austria|Viena|Europa|el euro|-
  Bélgica|Bruselas|Europa|el euro|belga
  Irlanda|Dublín|Europa|el euro|irlandés
  Grecia|Atenas|Europa|el euro|griego
  Finlandia|Helsinki|Europa|el euro|finlandés
  Estonia|Tallin|Europa|el euro|estonio
  Letonia|Riga|Europa|el euro|letón
  Lituania|Vilna|Europa|el euro|lituano
  Eslovaquia|Bratislava|Europa|el euro|eslovaco
  Eslovenia|Liubliana|Europa|el euro|esloveno
  Croacia|Zagreb|Europa|el euro|croata
  Luxemburgo|Luxemburgo|Europa|el euro|luxemburgués
  Malta|La Valeta|Europa|el euro|maltés
  Chipre|Nicosia|-|el euro|chipriota
  Mónaco|-|Europa|el euro|monegasco
  Andorra|Andorra la Vieja|Europa|el euro|andorrano
  San Marino|San Marino|Europa|el euro|sanmarinense
  Montenegro|Podgorica|Europa|el euro|montenegrino
  Suiza|Berna|Europa|el franco suizo|suizo
  Liechtenstein|Vaduz|Europa|el franco suizo|liechtensteiniano
  Suecia|Estocolmo|Europa|la corona sueca|sueco
  Noruega|Oslo|Europa|la corona noruega|noruego
  Dinamarca|Copenhague|Europa|la corona danesa|danés
  Islandia|Reikiavik|Europa|la corona islandesa|islandés
  Chequia|Praga|Europa|la corona checa|checo
  Polonia|Varsovia|Europa|el esloti|polaco
  Hungría|Budapest|Europa|el forinto|húngaro
  Rumanía|Bucarest|Europa|el leu|rumano
  Bulgaria|Sofía|Europa|-|búlgaro
  Serbia|Belgrado|Europa|el dinar serbio|serbio
  Albania|Tirana|Europa|el lek|albanés
  Macedonia del Norte|Skopie|Europa|el denar|-
  Moldavia|Chisináu|Europa|el leu moldavo|moldavo
  Ucrania|Kiev|Europa|la grivna|ucraniano
  Bielorrusia|Minsk|Europa|el rublo bielorruso|bielorruso
  Rusia|Moscú|-|el rublo ruso|ruso
  México|Ciudad de México|América|el peso mexicano|mexicano
  Guatemala|-|América|el quetzal|guatemalteco
  Honduras|Tegucigalpa|América|el lempira|hondureño
  El Salvador|San Salvador|América|-|salvadoreño
  Nicaragua|Managua|América|el córdoba|nicaragüense
  Costa Rica|San José|América|el colón costarricense|costarricense
  Panamá|-|América|-|panameño
  Cuba|La Habana|América|el peso cubano|cubano
  Haití|Puerto Príncipe|América|el gourde|haitiano
  Jamaica|Kingston|América|-|-
  Trinidad y Tobago|Puerto España|América|el dólar trinitense|trinitense
  Barbados|Bridgetown|América|el dólar barbadense|barbadense
  Colombia|Bogotá|América|el peso colombiano|colombiano
  Venezuela|Caracas|América|el bolívar|venezolano
  Ecuador|Quito|América|el dólar estadounidense|ecuatoriano
  Perú|Lima|América|el sol|peruano
  Bolivia|-|América|el boliviano|boliviano
  Chile|Santiago|América|el peso chileno|chileno
  Argentina|Buenos Aires|América|el peso argentino|argentino
  Uruguay|Montevideo|América|el peso uruguayo|uruguayo
  Paraguay|Asunción|América|el guaraní|paraguayo
  Brasil|Brasilia|América|el real|brasileño
  Guyana|Georgetown|América|el dólar guyanés|guyanés
  Surinam|Paramaribo|América|el dólar surinamés|surinamés
  Belice|Belmopán|América|el dólar beliceño|beliceño
  Canadá|Ottawa|América|el dólar canadiense|canadiense
  Estados Unidos|Washington|América|el dólar estadounidense|estadounidense
  Marruecos|Rabat|África|el dírham marroquí|marroquí
  Argelia|Argel|África|el dinar argelino|argelino
  Túnez|Túnez|África|el dinar tunecino|tunecino
  Libia|Trípoli|África|el dinar libio|libio
  Egipto|El Cairo|-|la libra egipcia|egipcio
  Sudán|Jartum|África|la libra sudanesa|sudanés
  Etiopía|Adís Abeba|África|el bir|etíope
  Eritrea|Asmara|África|el nakfa|eritreo
  Somalia|Mogadiscio|África|el chelín somalí|somalí
  Kenia|Nairobi|África|el chelín keniano|-
  Uganda|Kampala|África|el chelín ugandés|ugandés
  Tanzania|Dodoma|África|el chelín tanzano|tanzano
  Ruanda|Kigali|África|el franco ruandés|ruandés
  Burundi|-|África|el franco burundés|burundés
  Nigeria|Abuya|África|-|nigeriano
  Ghana|Acra|África|el cedi|ghanés
  Senegal|Dakar|África|el franco CFA|senegalés
  Malí|Bamako|África|el franco CFA|maliense
  Níger|Niamey|África|el franco CFA|nigerino
  Chad|Yamena|África|el franco CFA|chadiano
  Camerún|Yaundé|África|el franco CFA|camerunés
  Gabón|Libreville|África|el franco CFA|gabonés
  Togo|Lomé|África|el franco CFA|togolés
  Benín|-|África|el franco CFA|beninés
  Burkina Faso|Uagadugú|África|el franco CFA|burkinés
  Costa de Marfil|-|África|el franco CFA|marfileño
  Guinea Ecuatorial|-|África|el franco CFA|ecuatoguineano
  Gambia|Banjul|África|el dalasi|gambiano
  Liberia|Monrovia|África|el dólar liberiano|liberiano
  Sierra Leona|Freetown|África|el leone|sierraleonés
  Mauritania|Nuakchot|África|la uguiya|mauritano
  Cabo Verde|Praia|África|el escudo caboverdiano|caboverdiano
  Angola|Luanda|África|el kuanza|-
  Zambia|Lusaka|África|el kuacha zambiano|zambiano
  Zimbabue|Harare|África|-|zimbabuense
  Mozambique|Maputo|África|el metical|mozambiqueño
  Malaui|Lilongüe|África|el kuacha malauí|malauí
  Namibia|Windhoek|África|-|namibio
  Botsuana|Gaborone|África|-|botsuano
  Lesoto|Maseru|África|-|lesotense
  Madagascar|Antananarivo|África|el ariary|malgache
  Mauricio|Port Louis|África|la rupia mauriciana|mauriciano
  Yibuti|Yibuti|África|el franco yibutiano|yibutiano
  Sudáfrica|-|África|el rand|sudafricano
  Seychelles|Victoria|África|la rupia seychellense|seychellense
  China|Pekín|Asia|el yuan|chino
  Japón|Tokio|Asia|el yen|japonés
  Corea del Sur|Seúl|Asia|el won surcoreano|surcoreano
  Corea del Norte|Pionyang|Asia|el won norcoreano|norcoreano
  Mongolia|Ulán Bator|Asia|el tugrik|mongol
  Vietnam|Hanói|Asia|el dong|vietnamita
  Tailandia|Bangkok|Asia|el bat|tailandés
  Laos|Vientián|Asia|el kip|laosiano
  Camboya|Nom Pen|Asia|el riel|camboyano
  Birmania|Naipyidó|Asia|el kyat|birmano
  Malasia|Kuala Lumpur|Asia|el ringit|malasio
  Singapur|Singapur|Asia|el dólar singapurense|singapurense
  Indonesia|-|-|la rupia indonesia|indonesio
  Filipinas|Manila|Asia|el peso filipino|filipino
  Brunéi|Bandar Seri Begawan|Asia|el dólar bruneano|bruneano
  India|Nueva Delhi|Asia|la rupia india|indio
  Pakistán|Islamabad|Asia|la rupia pakistaní|pakistaní
  Bangladés|Daca|Asia|-|bangladesí
  Sri Lanka|-|Asia|la rupia esrilanquesa|-
  Nepal|Katmandú|Asia|la rupia nepalí|-
  Bután|Timbu|Asia|el ngultrum|butanés
  Maldivas|Malé|Asia|la rufiya|maldivo
  Afganistán|Kabul|Asia|el afgani|afgano
  Irán|Teherán|Asia|el rial iraní|iraní
  Irak|Bagdad|Asia|el dinar iraquí|iraquí
  Siria|Damasco|Asia|la libra siria|sirio
  Líbano|Beirut|Asia|la libra libanesa|libanés
  Jordania|Amán|Asia|el dinar jordano|jordano
  Yemen|Saná|Asia|el rial yemení|yemení
  Omán|Mascate|Asia|el rial omaní|omaní
  Catar|Doha|Asia|el rial catarí|catarí
  Kuwait|Ciudad de Kuwait|Asia|el dinar kuwaití|kuwaití
  Baréin|Manama|Asia|el dinar bareiní|bareiní
  Turquía|Ankara|-|la lira turca|turco
  Georgia|Tiflis|-|el lari|georgiano
  Armenia|Ereván|-|el dram armenio|armenio
  Azerbaiyán|Bakú|-|el manat azerbaiyano|-
  Kazajistán|Astaná|-|el tengue|kazajo
  Uzbekistán|Taskent|Asia|-|uzbeko
  Turkmenistán|Asjabad|Asia|el manat turcomano|-
  Kirguistán|Biskek|Asia|el som kirguís|-
  Tayikistán|Dusambé|Asia|el somoni|tayiko
  Timor Oriental|Dili|-|el dólar estadounidense|timorense
  Australia|Camberra|Oceanía|el dólar australiano|australiano
  Nueva Zelanda|Wellington|Oceanía|el dólar neozelandés|neozelandés
  Fiyi|Suva|Oceanía|el dólar fiyiano|fiyiano
  Samoa|Apia|Oceanía|el tala|samoano
  Tonga|Nukualofa|Oceanía|el paanga|tongano
  Vanuatu|Port Vila|Oceanía|el vatu|vanuatuense
  Kiribati|Tarawa|Oceanía|el dólar australiano|kiribatiano
  Tuvalu|Funafuti|Oceanía|el dólar australiano|tuvaluano
`);

export function countryFacts(): Fact[] {
  return COUNTRIES.flatMap(([country, capital, continent, currency, demonym]) => {
    const about = (family: string) => ({ family, entity: country!, subject: country! });
    const facts = [];
    if (capital !== '-') {
      facts.push(fact(about('capitales'), [
        `La capital de ${country} es ${capital}.`,
        `${capital} es la capital de ${country}.`,
        `${country} tiene por capital ${capital}.`,
        `La ciudad que sirve de capital a ${country} es ${capital}.`,
        `En ${country} la capital es ${capital}.`,
        `${capital}, la capital, está en ${country}.`,
        `Como capital de ${country} figura ${capital}.`,
      ], [
        `¿Cuál es la capital de ${country}?`,
        `Di la capital de ${country}.`,
        ['Escribe la capital.', `País: ${country}`],
      ]));
    }
    if (continent !== '-') {
      facts.push(fact(about('continentes'), [
        `El continente de ${country} es ${continent}.`,
        `${country} está en ${continent}.`,
        `${country} es un país de ${continent}.`,
        `En ${continent} se encuentra ${country}.`,
        `${continent} es el continente de ${country}.`,
        `Entre los países de ${continent} está ${country}.`,
        `El continente en que está ${country} es ${continent}.`,
      ], [
        `¿En qué continente está ${country}?`,
        `¿Cuál es el continente de ${country}?`,
        ['Escribe el continente.', `País: ${country}`],
      ]));
    }
    if (currency !== '-') {
      facts.push(fact(about('monedas'), [
        `La moneda de ${country} es ${currency}.`,
        `${currency} es la moneda de ${country}.`,
        `${country} tiene por moneda ${currency}.`,
        `En ${country} la moneda es ${currency}.`,
        `La moneda que se usa en ${country} es ${currency}.`,
        `En ${country} circula ${currency}.`,
        `${country} usa como moneda ${currency}.`,
      ], [
        `¿Cuál es la moneda de ${country}?`,
        `¿Con qué moneda se paga en ${country}?`,
        ['Escribe la moneda.', `País: ${country}`],
      ]));
    }
    if (demonym !== '-') {
      facts.push(fact(about('gentilicios'), [
        `El gentilicio de ${country} es ${demonym}.`,
        `Quien nace en ${country} es ${demonym}.`,
        `Un ciudadano de ${country} es ${demonym}.`,
        `A quien es de ${country} se le llama ${demonym}.`,
        `${demonym} es el gentilicio de ${country}.`,
        `El gentilicio ${demonym} corresponde a ${country}.`,
        `A ${country} le corresponde el gentilicio ${demonym}.`,
      ], [
        `¿Cuál es el gentilicio de ${country}?`,
        `¿Cómo se llama a quien nace en ${country}?`,
        ['Escribe el gentilicio.', `País: ${country}`],
      ]));
    }
    return facts;
  });
}
