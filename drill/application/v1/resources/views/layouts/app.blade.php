<!DOCTYPE html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>@yield('title') · {{ config('app.name') }}</title>
    @stack('assets')
</head>
<body>
    <header>
        <a href="{{ route('home') }}">{{ config('app.name') }}</a>
        @auth
            <nav>
                <a href="{{ route('campaigns.index') }}">Campaigns</a>
                <a href="{{ route('campaigns.create') }}">New campaign</a>
            </nav>
            <form method="post" action="{{ route('logout') }}">
                @csrf
                <button>Log out</button>
            </form>
        @endauth
    </header>
    <main>
        <h1>@yield('title')</h1>
        @if (session('status'))
            <p role="status">{{ session('status') }}</p>
        @endif
        @if ($errors->any())
            <ul role="alert">
                @foreach ($errors->all() as $error)
                    <li>{{ $error }}</li>
                @endforeach
            </ul>
        @endif
        @yield('content')
    </main>
    <footer>{{ config('campaign.version') }}</footer>
</body>
</html>
