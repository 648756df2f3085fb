// Prints where the right hand's index fingertip is, from packets at port 5656:
//   mcs -out:Example.exe HandMap.cs Example.cs && mono Example.exe

using System;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using HandMap;

public static class Example
{
    public static void Main(string[] arguments)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Any, arguments.Length > 0 ? int.Parse(arguments[0]) : Wire.Port));
        var data = new byte[Wire.MaxBytes + 1]; // so that a longer datagram is seen to be too long
        var packet = new Packet();
        var streams = new Streams(false);
        var right = new HandState(Handedness.Right);
        while (true) // in Unity: what follows, in Update, without the wait of 20 ms
        {
            long nowNs = 0;
            for (bool isThere = socket.Poll(20000, SelectMode.SelectRead); isThere; isThere = socket.Available > 0)
            {
                int size = socket.Receive(data);
                nowNs = NowNs();
                Error error = Wire.Decode(data, size, null, packet);
                if (error == Error.Ok && streams.Take(packet, nowNs)) right.See(packet, nowNs);
            }
            nowNs = NowNs();
            if (!right.At(nowNs)) continue; // let go of, or not seen yet
            float x = right.XyzM[3 * 8], y = right.XyzM[3 * 8 + 1], z = right.XyzM[3 * 8 + 2];
            Console.WriteLine("{0:F3} {1:F3} {2:F3} m, follow it by {3:F0} %", x, y, z, 100 * right.Engagement);
        }
    }

    private static long NowNs()
    {
        return (long)(Stopwatch.GetTimestamp() * (1e9 / Stopwatch.Frequency));
    }
}
