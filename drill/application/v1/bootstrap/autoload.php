<?php

// Debian ships the framework and its libraries without Composer, so there is no vendor directory to load.
require_once '/usr/share/php/Illuminate/autoload.php';
require_once '/usr/share/php/GuzzleHttp/autoload.php';

spl_autoload_register(function (string $class): void {
    if (! str_starts_with($class, 'App\\')) {
        return;
    }

    $file = dirname(__DIR__).'/app/'.str_replace('\\', '/', substr($class, 4)).'.php';

    if (is_file($file)) {
        require $file;
    }
});
